"""What learns: network, kernel method, imputation, domain score, intervals, and divisions of donors."""
