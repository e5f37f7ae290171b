"""The tests of the table, one file for each part of the documents of Gufo."""
