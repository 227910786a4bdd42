"""Classes that other libraries call, one module per library; none is imported before it is used."""
