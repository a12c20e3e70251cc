"""What is printed and drawn: text in tables, numbers and sizes, and plots."""
