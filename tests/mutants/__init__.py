"""Small breaks of the code, each with the test that has to notice."""
