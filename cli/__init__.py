"""What is typed and printed: each command parses, calls one hmnpack function, and prints."""
