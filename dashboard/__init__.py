"""What people see: Streamlit, talks to the hub over HTTP like anyone else."""
