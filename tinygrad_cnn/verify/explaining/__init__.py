"""Where one number of a gradient comes from."""
