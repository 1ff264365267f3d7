"""The work: from an event that was accepted to records in the CRMs."""
