"""Doors: resultstore as the result backend of task queues. A door never imports another."""
