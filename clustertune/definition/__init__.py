"""YAML to typed definitions, with located errors; JSON Schema."""
