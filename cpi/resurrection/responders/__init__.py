"""Who is told of alerts: each kind of responder is a class, those of others are found as entry points."""
