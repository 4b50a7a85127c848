"""What all functions share: settings, time, errors, pages, DynamoDB and HTTP."""
