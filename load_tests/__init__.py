"""Load tests: traffic as data, a lean client, a bare CTranslate2 to compare with, and a simulator of the policy."""
