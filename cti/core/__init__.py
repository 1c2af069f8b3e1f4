"""The pure core: AMI events in, facts and commands out; no I/O, no asyncio, no clock."""
