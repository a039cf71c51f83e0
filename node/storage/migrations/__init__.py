"""The steps from one schema to the next. They outlive what the tables are today: no imports."""
