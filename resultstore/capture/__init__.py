"""What happens inside a worker's task call, for every task queue: outputs are stored, then sealed."""
