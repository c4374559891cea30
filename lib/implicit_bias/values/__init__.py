"""Values of users: taken in, refused by name, compared, and worded."""
