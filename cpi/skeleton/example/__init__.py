"""The driver `example`: one folder, to be changed file by file until it speaks to a real cloud."""
