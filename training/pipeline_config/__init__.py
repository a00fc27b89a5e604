"""An old project's `pipeline.config` as an experiment; `translate.read_pipeline_config` is the door."""
