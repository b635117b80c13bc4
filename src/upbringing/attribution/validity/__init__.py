"""What forbids a verdict: failed gates, incoherent answers, proxies, and measures without a passport."""
