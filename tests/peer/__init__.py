"""The same recorded streams to another AMI tool, and what each of the two makes of them: docs/comparison.md."""
