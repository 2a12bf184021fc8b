"""What is remembered, with its constraints."""
