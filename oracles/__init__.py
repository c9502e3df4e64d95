"""The harness: what an operation is, its references, the judge, the campaign and the command line."""
