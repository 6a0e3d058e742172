"""What comes out of each verb: JSON for programs, a report for people, a record for later."""
