"""What provokes each category of fault on each database through each driver."""
