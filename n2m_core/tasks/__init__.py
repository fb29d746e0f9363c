"""What a person can ask for: parameters in, a result out, progress by a callback."""
