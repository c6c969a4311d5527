"""Does a vector environment keep Gymnasium's word? See vector_checker.check_vector_env."""
