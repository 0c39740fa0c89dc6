"""Room of what we do: verbs. Each takes the member first; none sees a request, a session or a form."""
