"""What is: looking at processes and telling whose they are."""
