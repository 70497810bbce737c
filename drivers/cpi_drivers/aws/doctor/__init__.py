"""What `cpi doctor` looks at; nothing is made."""
