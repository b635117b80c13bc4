"""What several contrasts say together: shares, orders, redundancy, retention, relearning."""
