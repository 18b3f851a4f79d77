"""What a run found, and the forms it is written in: text, Markdown, JSON and a badge."""
