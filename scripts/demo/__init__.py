"""How the demo weights are made: pictures, crops, what they shall give, training, scores."""
