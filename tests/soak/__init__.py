"""Thousands of mixed calls while everything breaks, and whether one of them is missing, double or wrong (B3, B4)."""
