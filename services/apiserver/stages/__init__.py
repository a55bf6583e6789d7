"""The stages of the request pipeline, one a file, in the order of `pipeline.STAGES`."""
