"""Small stand-ins for what is large, slow or remote."""
