"""What a person reads of an evaluation: sentences, tables, galleries and the page that has them all."""
