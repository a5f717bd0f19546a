"""Views: a value in, text out; nothing is computed here."""
