"""What is unusual: pure detectors, a state and an observation in, a state and perhaps an alarm out."""
