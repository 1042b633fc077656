@echo off
rem Runs tensorcli from this checkout; the first time it makes the environment in .venv.
py -3 "%~dp0setup.py" || exit /b 1
"%~dp0..\.venv\Scripts\python.exe" -P -m tensorcli %*
