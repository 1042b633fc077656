@echo off
rem Runs the tests; arguments go to pytest, paths count from the root of the repository.
setlocal
py -3 "%~dp0setup.py" || exit /b 1
cd /d "%~dp0.."
".venv\Scripts\python.exe" -m pytest %*
