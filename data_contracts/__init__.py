"""What passes between stages: tables, records and their rules. Imports no other part of the project."""
