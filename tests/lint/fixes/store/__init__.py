"""The application that the pairs belong to."""
