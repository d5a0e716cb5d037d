"""How the starter models are made, one package per model; needs the training dependencies."""
