"""Where method, data, environment, log and checkpoint meet, and nowhere else."""
