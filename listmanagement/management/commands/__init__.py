"""Commands: each calls one workflow."""
