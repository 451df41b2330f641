SELECT run, path FROM phase_path WHERE run = ANY ($1)
