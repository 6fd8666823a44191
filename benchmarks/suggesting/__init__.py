"""What suggestions cost: the event loop's wait for them, slots that stay empty, and the time that a proposal takes."""
