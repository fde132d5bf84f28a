"""`rtface report`: what a database of visits tells, as a page, a picture or a table."""
