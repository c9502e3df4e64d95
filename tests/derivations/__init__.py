"""The numbered equations of docs/derivations.md, evaluated literally, one family a file."""
