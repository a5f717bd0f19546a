"""The shipped architecture specs (``*.yaml``) and the JSON Schema of their grammar."""
