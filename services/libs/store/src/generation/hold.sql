SELECT sequence, stream_created FROM public.projection_checkpoints WHERE projection = $1 FOR UPDATE
