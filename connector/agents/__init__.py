"""Agents: who answers and who calls, per connection: from the tenant file, an upload, or CRM and Exotel themselves."""
